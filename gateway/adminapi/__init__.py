"""The admin plane over HTTP: ``/admin/`` and the forms of what it says and takes, which the command line shares."""
