"""cytonym names cells."""
