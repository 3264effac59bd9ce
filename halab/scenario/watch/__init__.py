"""The live view of `halab watch`. Begin with watcher.py, which starts a sampler; live.py holds what is shown."""
