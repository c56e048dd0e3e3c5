"""In what order the work is done, for which slides, with which retries."""
