package herder

import (
	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/runtime"
)

// Plugins lists what this worker has.
func (h *Herder) Plugins(connectorsOnly bool) []Plugin {
	return Plugins(h.o.Worker.Catalog(), connectorsOnly)
}

// PluginConfig lists the keys of a plugin.
func (h *Herder) PluginConfig(plugin, version string) ([]KeyInfo, error) {
	return PluginConfig(h.o.Worker.Catalog(), plugin, version)
}

// Plugins answers GET /connector-plugins: sinks, sources, and unless connectorsOnly transformations, predicates, converters and
// header converters.
func Plugins(c *runtime.Catalog, connectorsOnly bool) []Plugin {
	out := []Plugin{}
	for _, e := range c.List() {
		out = append(out, Plugin{Class: e.Class, Type: string(e.Type), Version: e.PluginVersion()})
	}
	if connectorsOnly {
		return out
	}
	for _, t := range []runtime.PluginType{runtime.TransformationPlugin, runtime.PredicatePlugin, runtime.ConverterPlugin, runtime.HeaderConverterPlugin} {
		for _, p := range c.Plugins(t) {
			out = append(out, Plugin{Class: p.Class, Type: string(p.Type), Version: p.Version})
		}
	}
	return out
}

// PluginConfig answers GET /connector-plugins/{plugin}/config: the keys of a connector with the framework's behind them, or
// those of another plugin. version is a version or range of the plugin ("" or "latest": any). Keys that only Freshet has are left
// out.
func PluginConfig(c *runtime.Catalog, plugin, version string) ([]KeyInfo, error) {
	asked, err := runtime.ParseVersionRange(version)
	if err != nil {
		return nil, badRequest("%s", err)
	}
	has := func(class, version string) error {
		if asked.Contains(version) {
			return nil
		}
		return badRequest("Plugin %s not found that matches the version range %s, available versions: [%s]", class, asked, version)
	}
	e, err := c.Choose("", plugin, version)
	if e != nil {
		framework := runtime.Framework(e.Type == runtime.SinkPlugin)
		for i := range framework.Keys {
			if k := &framework.Keys[i]; k.Name == keyVersion {
				versions := c.Versions(e.Type, e.Class)
				k.Default, k.HasDefault = versions[len(versions)-1], true
			}
		}
		if err != nil {
			return nil, badRequest("%s", err)
		}
		return keyInfos(e.Config, framework), nil
	}
	for _, t := range []runtime.PluginType{runtime.TransformationPlugin, runtime.PredicatePlugin, runtime.ConverterPlugin, runtime.HeaderConverterPlugin} {
		if p := c.Plugin(t, plugin); p != nil {
			return keyInfos(p.Config), has(p.Class, p.Version)
		}
	}
	if err := c.Refusal(plugin); err != nil {
		return nil, badRequest("%s", err)
	}
	return nil, notFound("Unknown plugin %s.", plugin)
}

// keyInfos lists the keys of definitions, of a name that several have the first.
func keyInfos(defs ...*connectors.ConfigDef) []KeyInfo {
	out, seen := []KeyInfo{}, map[string]bool{}
	for _, def := range defs {
		if def == nil {
			continue
		}
		for i := range def.Keys {
			k := &def.Keys[i]
			if k.Prefix || k.Suffix || k.Own || seen[k.Name] {
				continue
			}
			seen[k.Name] = true
			out = append(out, keyInfo(def, k, k.Name))
		}
	}
	return out
}

// keyInfo describes a key under the name that it has in a configuration.
func keyInfo(def *connectors.ConfigDef, k *connectors.Key, name string) KeyInfo {
	info := KeyInfo{
		Name: name, Type: string(k.Type), Required: k.Required && def.Style != connectors.StyleDebezium, Importance: k.Importance,
		Documentation: k.Doc, Width: k.Width, DisplayName: k.Display, Dependents: notNil(k.Dependents), Order: k.Order,
	}
	if k.HasDefault {
		info.DefaultValue = &k.Default
	}
	if k.Group == "" {
		info.Order = -1
	} else {
		info.Group = &k.Group
	}
	if info.Importance == "" {
		info.Importance = "LOW"
	}
	if info.Width == "" {
		info.Width = "NONE"
	}
	if info.DisplayName == "" {
		info.DisplayName = k.Name
	}
	return info
}

// hashOrder is the order in which a Java HashMap lists strings that were put in this order: by it the reference lists the keys of
// converters and of client overrides.
func hashOrder(names []string) []string {
	size := 16
	for 4*len(names) > 3*size {
		size *= 2
	}
	buckets := make([][]string, size)
	for _, name := range names {
		var h uint32
		for _, r := range name {
			h = 31*h + uint32(r) //nolint:gosec // names of keys are ASCII
		}
		h ^= h >> 16
		at := h & uint32(size-1) //nolint:gosec // size is small
		buckets[at] = append(buckets[at], name)
	}
	out := make([]string, 0, len(names))
	for _, b := range buckets {
		out = append(out, b...)
	}
	return out
}
