"""The crossbar emulator."""
