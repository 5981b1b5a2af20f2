"""Files of other libraries, as arrays: nothing that a file may ask for is run."""
