package openchami

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the files into the pages")

// A page quotes a file below a line that links to it.
var quoted = regexp.MustCompile("(?ms)^\\[(\\S+)\\]\\((\\S+)\\):\n\n```(\\w+)\n(.*?)^```$")

func TestPagesAndFilesAgree(t *testing.T) {
	pages := map[string]string{"bss.md": "bss", "cloud-init.md": "cloudinit", "power-control.md": "powercontrol", "boot-service.md": "bootservice"}
	for page, folder := range pages {
		text, err := os.ReadFile(page)
		ok(t, err)
		shown := map[string]bool{}
		renewed := quoted.ReplaceAllStringFunc(string(text), func(block string) string {
			parts := quoted.FindStringSubmatch(block)
			name, link, language, code := parts[1], parts[2], parts[3], parts[4]
			content, err := os.ReadFile(name)
			ok(t, err)
			if name != link || "."+language != filepath.Ext(name) {
				t.Errorf("%s: %s links to %s and is shown as %s", page, name, link, language)
			}
			if code != string(content) && !*update {
				t.Errorf("%s does not quote %s as it is; say: go test -run Pages -update", page, name)
			}
			shown[name] = true
			return strings.TrimSuffix(strings.TrimSuffix(block, "```"), code) + string(content) + "```"
		})
		if *update {
			ok(t, os.WriteFile(page, []byte(renewed), 0o644))
		}
		if blocks := strings.Count(renewed, "\n```") / 2; blocks != len(shown) {
			t.Errorf("%s has %d blocks, and %d of them are files", page, blocks, len(shown))
		}
		files, err := filepath.Glob(folder + "/*")
		ok(t, err)
		for _, file := range files {
			if !shown[filepath.ToSlash(file)] {
				t.Errorf("%s is not in %s", file, page)
			}
		}
	}
}
