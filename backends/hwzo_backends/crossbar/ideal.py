"""A crossbar without physics: exact cells, exact converters, no noise but what the URL adds."""

from __future__ import annotations

from hwzo_backends.crossbar.preset import Preset

IDEAL = Preset(
    name="ideal",
    summary="exact cells and converters; noise only as options add it",
    g_min=0.0,
    g_max=1.0,  # arbitrary: only ratios matter here
    # Times and energies: assumed, order of magnitude only, those of the pcm preset, so that costs can be compared.
    t_sample=250e-9,
    t_write=1e-6,
    read_joules=13e-9,
    write_joules=1e-10,
    bits=0,
)
