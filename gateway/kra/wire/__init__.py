"""KRA's names and ours, both ways. Only `gateway.kra` imports this; the rest of the product never sees a wire name."""
