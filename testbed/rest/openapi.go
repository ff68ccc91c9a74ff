package rest

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is what the fuzzer needs of an OpenAPI description.
type document struct {
	Paths      map[string]yaml.Node `yaml:"paths"`
	Components struct {
		Parameters map[string]parameter `yaml:"parameters"`
		Schemas    map[string]*schema   `yaml:"schemas"`
	} `yaml:"components"`
}

type parameter struct {
	Ref    string  `yaml:"$ref"`
	Name   string  `yaml:"name"`
	In     string  `yaml:"in"`
	Schema *schema `yaml:"schema"`
}

type schema struct {
	Ref        string             `yaml:"$ref"`
	Type       kinds              `yaml:"type"`
	Enum       []string           `yaml:"enum"`
	Items      *schema            `yaml:"items"`
	Properties map[string]*schema `yaml:"properties"`
	More       *schema            `yaml:"-"`
	Additional yaml.Node          `yaml:"additionalProperties"`
	Required   []string           `yaml:"required"`
}

// kinds is one type or a list.
type kinds []string

// UnmarshalYAML reads either.
func (k *kinds) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*k = kinds{n.Value}
		return nil
	}
	return n.Decode((*[]string)(k)) //nolint:wrapcheck // part of a file that names itself
}

// operation is one method of one path.
type operation struct {
	Path, Method string
	Parameters   []parameter `yaml:"parameters"`
	Body         *struct {
		Content map[string]struct {
			Schema *schema `yaml:"schema"`
		} `yaml:"content"`
	} `yaml:"requestBody"`
	Responses map[string]yaml.Node `yaml:"responses"`

	body *schema
}

// description reads an OpenAPI description and returns its operations, sorted, with references replaced.
func description(file string) ([]operation, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read API description: %w", err)
	}
	var d document
	if err := yaml.Unmarshal(text, &d); err != nil {
		return nil, fmt.Errorf("read API description %s: %w", file, err)
	}
	var out []operation
	for path, node := range d.Paths {
		var methods map[string]yaml.Node
		if err := node.Decode(&methods); err != nil {
			return nil, fmt.Errorf("read API description %s: %s: %w", file, path, err)
		}
		var common []parameter
		if n, ok := methods["parameters"]; ok {
			if err := n.Decode(&common); err != nil {
				return nil, fmt.Errorf("read API description %s: %s: parameters: %w", file, path, err)
			}
			delete(methods, "parameters")
		}
		for method, n := range methods {
			o := operation{Path: path, Method: strings.ToUpper(method)}
			if err := n.Decode(&o); err != nil {
				return nil, fmt.Errorf("read API description %s: %s %s: %w", file, method, path, err)
			}
			o.Parameters = append(slices.Clone(common), o.Parameters...)
			for i, p := range o.Parameters {
				if p.Ref != "" {
					o.Parameters[i] = d.Components.Parameters[after(p.Ref)]
				}
				if o.Parameters[i].Schema == nil {
					return nil, fmt.Errorf("read API description %s: %s %s: parameter %d has no schema", file, method, path, i)
				}
			}
			if o.Body != nil {
				if o.body, err = d.resolve(o.Body.Content["application/json"].Schema); err != nil {
					return nil, fmt.Errorf("read API description %s: %s %s: %w", file, method, path, err)
				}
			}
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b operation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	return out, nil
}

func after(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

// resolve replaces references in a schema; none of the API's bodies refers to itself.
func (d *document) resolve(s *schema) (*schema, error) {
	if s == nil {
		return nil, fmt.Errorf("there is no schema")
	}
	if s.Ref != "" {
		return d.resolve(d.Components.Schemas[after(s.Ref)])
	}
	out := *s
	var err error
	if s.Items != nil {
		if out.Items, err = d.resolve(s.Items); err != nil {
			return nil, err
		}
	}
	out.Properties = map[string]*schema{}
	for k, p := range s.Properties {
		if out.Properties[k], err = d.resolve(p); err != nil {
			return nil, err
		}
	}
	if s.Additional.Kind == yaml.MappingNode {
		var more schema
		if err := s.Additional.Decode(&more); err != nil {
			return nil, fmt.Errorf("additionalProperties: %w", err)
		}
		if out.More, err = d.resolve(&more); err != nil {
			return nil, err
		}
	}
	return &out, nil
}
