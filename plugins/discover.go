package plugins

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Discover finds the plugins of plugin.path: a list of folders, of which each is a plugin's, or holds folders of plugins. Whatever
// else lies there, such as the jar files of another worker, is passed over. Errors are of type *Unusable; one that knows no plugin is
// about a part of the path that cannot be read.
func Discover(paths []string) ([]*Plugin, []error) {
	var found []*Plugin
	var problems []error
	seen := map[string]bool{}
	add := func(dir string) {
		if real, err := filepath.EvalSymlinks(dir); err == nil {
			if seen[real] {
				return
			}
			seen[real] = true
		}
		p, err := Load(dir)
		if err != nil {
			problems = append(problems, err)
			return
		}
		found = append(found, p)
	}
	for _, path := range paths {
		if path = strings.TrimSpace(path); path == "" {
			continue
		}
		dirs, err := pluginDirs(path)
		if err != nil {
			problems = append(problems, &Unusable{Dir: path, Err: fmt.Errorf("look for plugins in plugin.path: %w; make the folder and let this user read it, or correct plugin.path", err)})
		}
		for _, dir := range dirs {
			add(dir)
		}
	}
	return found, problems
}

// pluginDirs are the folders with a manifest: this one, or those in it, sorted by name.
func pluginDirs(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return nil, err // a file, such as an uber-jar, is no plugin
	}
	if is, err := hasManifest(path); is || err != nil {
		return []string{path}, err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	var dirs []string
	var problems []error
	for _, e := range entries {
		dir := filepath.Join(path, e.Name())
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			continue
		}
		is, err := hasManifest(dir)
		if is {
			dirs = append(dirs, dir)
		}
		problems = append(problems, err)
	}
	slices.Sort(dirs)
	return dirs, errors.Join(problems...)
}

func hasManifest(dir string) (bool, error) {
	_, err := os.Lstat(filepath.Join(dir, ManifestFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
