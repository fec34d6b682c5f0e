"""Work that is handed to the workers of a Dask cluster: the connection, who is there, and the desk of a worker."""
