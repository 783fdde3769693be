"""HZ1, the protocol between a host and a board: schema, frames, messages, transports, client."""
