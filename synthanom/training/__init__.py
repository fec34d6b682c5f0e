"""Training detectors on data sets, and using what was trained; reads shards only, never the builders."""
