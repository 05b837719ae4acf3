"""NNI around a run: experiments, hosts, the web UI, and what a trial hears from its manager."""
