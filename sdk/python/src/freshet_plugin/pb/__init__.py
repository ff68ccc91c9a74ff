"""Generated from plugins/pluginpb/plugin.proto; see sdk/python/generate."""
