package workerconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/freshet-io/freshet/connectors"
)

// reference is ${provider:[path:]key}, as org.apache.kafka.common.config.ConfigTransformer has it.
var reference = regexp.MustCompile(`\$\{([^}]*?):(([^}]*?):)?([^}]*?)\}`)

// Providers replaces references in configurations; only those that the worker declares (config.providers).
type Providers struct {
	byName map[string]provider
}

// provider looks one key up; false: it has no such key, and the reference stays as it is.
type provider func(path, key string) (string, bool, error)

// NewProviders returns the providers that a worker's properties declare: files, folders and the environment.
func NewProviders(worker connectors.Config) (*Providers, error) {
	p := &Providers{byName: map[string]provider{}}
	for _, name := range connectors.SplitList(worker[keyProviders]) {
		prefix := "config.providers." + name + "."
		class := strings.TrimSpace(worker[prefix+"class"])
		allowed := connectors.SplitList(worker[prefix+"param.allowed.paths"])
		switch class[strings.LastIndexByte(class, '.')+1:] {
		case "FileConfigProvider":
			p.byName[name] = fileProvider(allowed)
		case "DirectoryConfigProvider":
			p.byName[name] = directoryProvider(allowed)
		case "EnvVarConfigProvider":
			pattern := worker[prefix+"param.allowlist.pattern"]
			if pattern == "" {
				pattern = ".*"
			}
			allow, err := regexp.Compile("^(?:" + pattern + ")$")
			if err != nil {
				return nil, fmt.Errorf("config provider %s: allowlist.pattern: %w", name, err)
			}
			p.byName[name] = func(_, key string) (string, bool, error) {
				if !allow.MatchString(key) {
					return "", false, nil
				}
				v, ok := os.LookupEnv(key)
				return v, ok, nil
			}
		default:
			return nil, fmt.Errorf("config provider %s: class %q: not supported yet; FileConfigProvider, DirectoryConfigProvider and EnvVarConfigProvider are", name, class)
		}
	}
	return p, nil
}

func fileProvider(allowed []string) provider {
	return func(path, key string) (string, bool, error) {
		if !within(path, allowed) {
			return "", false, nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return "", false, fmt.Errorf("read file of config provider: %w", err)
		}
		m, err := ParseProperties(text)
		if err != nil {
			return "", false, fmt.Errorf("read file %s of config provider: %w", path, err)
		}
		v, ok := m[key]
		return v, ok, nil
	}
}

func directoryProvider(allowed []string) provider {
	return func(path, key string) (string, bool, error) {
		if !within(path, allowed) || key != filepath.Base(key) {
			return "", false, nil
		}
		text, err := os.ReadFile(filepath.Join(path, key))
		if os.IsNotExist(err) {
			return "", false, nil
		}
		if err != nil {
			return "", false, fmt.Errorf("read file of config provider: %w", err)
		}
		return string(text), true, nil
	}
}

// within tells that path lies in one of the folders or files; no list allows everything.
func within(path string, allowed []string) bool {
	if len(allowed) == 0 {
		return true
	}
	clean, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	for _, a := range allowed {
		if a, err = filepath.Abs(a); err == nil && (clean == a || strings.HasPrefix(clean, strings.TrimSuffix(a, "/")+"/")) {
			return true
		}
	}
	return false
}

// Apply returns the configuration with references replaced. What no provider knows stays as it is.
func (p *Providers) Apply(c connectors.Config) (connectors.Config, error) {
	out := connectors.Config{}
	for name, value := range c {
		var failed error
		out[name] = reference.ReplaceAllStringFunc(value, func(text string) string {
			m := reference.FindStringSubmatch(text)
			find := p.byName[m[1]]
			if find == nil {
				return text
			}
			v, ok, err := find(m[3], m[4])
			if err != nil {
				failed = fmt.Errorf("key %s: %w", name, err)
			}
			if !ok {
				return text
			}
			return v
		})
		if failed != nil {
			return nil, failed
		}
	}
	return out, nil
}
