"""Speed of fastnn beside its peers: ``python -m bench``."""
