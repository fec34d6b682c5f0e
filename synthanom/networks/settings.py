"""Our networks' names and the settings that a user may give them; no torch here."""

SETTINGS = {"unet": ("base", "resolutions"), "autoencoder": ("base", "resolutions", "latent")}
WITH_SKIPS = ("unet",)  # they can copy their input
