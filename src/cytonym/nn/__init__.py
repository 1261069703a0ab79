"""Building blocks of networks; torch only."""
