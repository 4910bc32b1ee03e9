"""The main job between two real processes, over real sockets."""
