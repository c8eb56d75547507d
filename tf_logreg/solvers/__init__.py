"""Methods that minimise K functions at once. They know functions and arrays, no data and no devices."""
