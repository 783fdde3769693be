/* The network and the weights come from boot_weights_data.h, which `hwzo firmware build --weights` makes, and lets be
 * found with -I. It has boot_activation, boot_lower, boot_upper, the widths as NETWORK takes them and the parameters, units
 * of 2^-12, as WRITE does. */
#include "boot_weights.h"

#ifdef HZ_BOOT_WEIGHTS
#include "model.h"
#include "rom.h"
#include "boot_weights_data.h"

void hz_boot_weights(void)
{
    uint8_t widths[sizeof boot_widths]; /* the model reads them from RAM */
    for (uint8_t n = 0; n < sizeof widths; n++) {
        widths[n] = hz_rom_u8(&boot_widths[n]);
    }
    if (hz_model_network(boot_activation, boot_lower, boot_upper, widths, sizeof widths / 2) != HZ_FINE) {
        return; /* for another board: without a network, as if there were no weights */
    }
    for (hz_index n = 0; n < hz_model.parameters; n++) {
        hz_model.weight[n] = (int16_t)hz_rom_u16(&boot_parameters[n]);
    }
    hz_model_written(0, hz_model.parameters);
}
#endif
