"""The unit: config, threads, alerts and the sealed store; the only folder that joins all others."""
