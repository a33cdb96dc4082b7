"""What a run trains: teachers, transfer sets, controls and students."""
