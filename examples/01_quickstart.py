"""Train handwritten digits on an emulated phase-change-memory crossbar, by the crossbar's own noise.

python examples/01_quickstart.py [--evaluations 12000]
"""

import argparse

import hwzo

parser = argparse.ArgumentParser()
parser.add_argument("--evaluations", type=int, default=3000)
evaluations = parser.parse_args().evaluations

result = hwzo.train("digits", "crossbar:pcm", budget=f"{evaluations} evaluations", seed=0)

print(f"{result.device}, emulated: {result.emulated}")
print(f"exploration: {result.exploration} ({result.reason})")
print(f"commanded probes: {result.commanded_probes} of {result.evaluations} evaluations")
print(f"validation accuracy: {result.validation_accuracy:.3f}")
print(f"test accuracy, read once on the noisy device: {result.test_accuracy:.3f} ({result.test_samples} samples)")

again = hwzo.evaluate(result.run, repeats=10)
print(f"programmed anew: {again.accuracy:.4f} +- {again.accuracy_standard_error:.4f} (n = {again.repeats})")
