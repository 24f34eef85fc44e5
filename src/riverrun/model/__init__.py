"""What a job is: data and pure rules, with no I/O and no clock."""
