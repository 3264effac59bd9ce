"""What a lab file means: machines, addresses and rendered files. It is pure. Begin with lab.py; files.py renders."""
