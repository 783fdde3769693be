"""Put learned weights into a device, prove that they are there, and keep them right."""
