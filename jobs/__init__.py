"""The command line `geotag`: parse options, call one library function, print."""
