"""A corpus of bad input, each case with what is to become of it; all of it goes through one run of the real job."""
