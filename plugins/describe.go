package plugins

import (
	"errors"
	"fmt"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/plugins/pluginpb"
)

func toDescription(f connectors.Factory) *pluginpb.Description {
	d := f.Describe()
	_, checksKeys := f.(connectors.KeyChecker)
	_, checksOffsets := f.(connectors.OffsetChecker)
	_, ownsOffsets := f.(connectors.OffsetOwner)
	out := &pluginpb.Description{
		Class: d.Class, Aliases: d.Aliases, Source: d.Source, Sink: d.Sink, Version: d.Version, Reference: d.Reference, Doc: d.Doc,
		Style: uint32(d.Config.Style), OwnOffsets: d.OwnOffsets, Keeper: d.Keeper, FromTopics: d.FromTopics, OwnRecords: d.OwnRecords, Observed: d.Observed,
		ChecksKeys: checksKeys, ChecksOffsets: checksOffsets, OwnsOffsets: ownsOffsets, Resumes: d.Resumes != nil,
	}
	for i := range d.Config.Keys {
		out.Keys = append(out.Keys, toKey(&d.Config.Keys[i]))
	}
	return out
}

func toKey(k *connectors.Key) *pluginpb.Key {
	return &pluginpb.Key{
		Name: k.Name, Type: string(k.Type), Default: k.Default, HasDefault: k.HasDefault, Required: k.Required, Importance: k.Importance, Doc: k.Doc,
		Group: k.Group, Order: int32(k.Order), Width: k.Width, Display: k.Display, Dependents: k.Dependents, Recommended: k.Recommended, Closed: k.Closed,
		Unsupported: k.Unsupported, Harmless: k.Harmless, Prefix: k.Prefix, Suffix: k.Suffix, NotNull: k.NotNull, Own: k.Own, Alias: k.Alias,
		Invisible: k.Invisible, Guarded: k.Show != nil,
	}
}

// fromDescription checks what a plugin says of a connector of its.
func fromDescription(p *pluginpb.Description) (connectors.Description, error) {
	d := connectors.Description{
		Class: p.GetClass(), Aliases: p.GetAliases(), Source: p.GetSource(), Sink: p.GetSink(), Version: p.GetVersion(), Reference: p.GetReference(), Doc: p.GetDoc(),
		Config: &connectors.ConfigDef{Style: connectors.Style(p.GetStyle())}, OwnOffsets: p.GetOwnOffsets(), Keeper: p.GetKeeper(),
		FromTopics: p.GetFromTopics(), OwnRecords: p.GetOwnRecords(), Observed: p.GetObserved(),
	}
	switch {
	case d.Class == "":
		return d, errors.New("a connector has no class")
	case d.Source == d.Sink:
		return d, fmt.Errorf("connector %s must be either a source or a sink", d.Class)
	case p.GetStyle() > uint32(connectors.StyleConnect):
		return d, fmt.Errorf("connector %s: style %d is not known", d.Class, p.GetStyle())
	}
	for _, k := range p.GetKeys() {
		key, err := fromKey(k)
		if err != nil {
			return d, fmt.Errorf("connector %s: %w", d.Class, err)
		}
		d.Config.Keys = append(d.Config.Keys, key)
	}
	return d, nil
}

func fromKey(k *pluginpb.Key) (connectors.Key, error) {
	key := connectors.Key{
		Name: k.GetName(), Type: connectors.ValueType(k.GetType()), Default: k.GetDefault(), HasDefault: k.GetHasDefault(), Required: k.GetRequired(),
		Importance: k.GetImportance(), Doc: k.GetDoc(), Group: k.GetGroup(), Order: int(k.GetOrder()), Width: k.GetWidth(), Display: k.GetDisplay(),
		Dependents: k.GetDependents(), Recommended: k.GetRecommended(), Closed: k.GetClosed(), Unsupported: k.GetUnsupported(), Harmless: k.GetHarmless(),
		Prefix: k.GetPrefix(), Suffix: k.GetSuffix(), NotNull: k.GetNotNull(), Own: k.GetOwn(), Alias: k.GetAlias(), Invisible: k.GetInvisible(),
	}
	if k.GetGuarded() {
		key.Show = func(string) string { return connectors.Hidden } // I12
	}
	if key.Name == "" {
		return key, errors.New("a configuration key has no name")
	}
	switch key.Type {
	case connectors.TypeBoolean, connectors.TypeString, connectors.TypeInt, connectors.TypeShort, connectors.TypeLong, connectors.TypeDouble,
		connectors.TypeList, connectors.TypeClass, connectors.TypePassword:
		return key, nil
	}
	return key, fmt.Errorf("configuration key %s has the unknown type %q", key.Name, k.GetType())
}
