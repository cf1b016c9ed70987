// Package release tests the modules as they are released: from a module proxy, by programs that know nothing of
// svcauth's repository.
package release

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// Publish puts the module in the folder from, and those in the folders right below it, into a module proxy that is a
// folder (`go help goproxy`). It gives their paths.
func Publish(proxy, from, version string) (paths []string, err error) {
	files, err := filepath.Glob(filepath.Join(from, "*", "go.mod"))
	if err != nil {
		return nil, err
	}
	for _, file := range append([]string{filepath.Join(from, "go.mod")}, files...) {
		path, err := publish(proxy, file, version)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func publish(proxy, file, version string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	released := module.Version{Path: modfile.ModulePath(text), Version: version}
	escaped, err := module.EscapePath(released.Path)
	if err != nil {
		return "", err
	}
	folder := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	info := fmt.Sprintf(`{"Version":%q,"Time":%q}`, version, time.Now().UTC().Format(time.RFC3339))
	for name, content := range map[string]string{"list": version + "\n", version + ".info": info, version + ".mod": string(text)} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			return "", err
		}
	}
	archive, err := os.Create(filepath.Join(folder, version+".zip"))
	if err != nil {
		return "", err
	}
	defer archive.Close()
	if err := zip.CreateFromDir(archive, released, filepath.Dir(file)); err != nil {
		return "", err
	}
	return released.Path, archive.Close()
}
