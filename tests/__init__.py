"""The tests of the repository; helpers are imported by their full names."""
