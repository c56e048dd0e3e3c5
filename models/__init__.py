"""What the networks compute, with which weights, and how they were trained. No slide is opened here."""
