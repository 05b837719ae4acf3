"""How a network is trained: `module` learns, `trainer` runs it, `callbacks` tell, `divergence` retries."""
