"""Where the appliance connects to, and the broker that does it for a service without a network. Nothing here is imported by the broker."""
