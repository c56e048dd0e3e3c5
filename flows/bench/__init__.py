"""What this machine does in a second: a benchmark a file, all of them giving `Measurement`s."""
