package release

import (
	"bufio"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const root = "github.com/openchami/svcauth-go"

// given is what tools/test-release has made ready.
func given(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set; say bindings/go/tools/test-release", name)
	}
	return value
}

// outside is a place that knows the released modules and nothing of this repository.
type outside struct {
	// environment of the go command there
	environment []string
	version     string
	modules     []string
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	scratch := given(t, "SVCAUTH_RELEASE_SCRATCH")
	// Go's cache does not look at what pkg-config finds, but at where a module is: another library, another place.
	proxy, cache := filepath.Join(scratch, "proxy"), filepath.Join(scratch, "modules-"+given(t, "SVCAUTH_INSTALLED"))
	for _, folder := range []string{proxy, cache} {
		ok(t, os.RemoveAll(folder))
		ok(t, os.MkdirAll(folder, 0o755))
	}
	o := &outside{version: given(t, "SVCAUTH_GO_VERSION")}
	var err error
	o.modules, err = Publish(proxy, given(t, "SVCAUTH_GO_MODULE"), o.version)
	ok(t, err)
	// What the submodules need is there already; from the network comes nothing.
	o.environment = []string{
		"GOPROXY=file://" + proxy + ",file://" + goEnv(t, "GOMODCACHE") + "/cache/download",
		"GOMODCACHE=" + cache,
		"GOFLAGS=-mod=mod -modcacherw",
		"GOSUMDB=off",
		"GOWORK=off",
		"GOTOOLCHAIN=local",
		"PKG_CONFIG_PATH=", "PKG_CONFIG_LIBDIR=" + filepath.Join(scratch, "nothing"),
	}
	return o
}

// program copies one from testdata, makes it a module that needs ours, and gives its folder.
func (o *outside) program(t *testing.T, name string) string {
	t.Helper()
	folder := t.TempDir()
	ok(t, os.CopyFS(folder, os.DirFS(filepath.Join("testdata", name))))
	o.run(t, folder, nil, "mod", "init", "example.com/"+name)
	o.run(t, folder, nil, "mod", "edit", "-go=1.24", "-require="+root+"@"+o.version)
	return folder
}

// command is one of the go command.
func (o *outside) command(folder string, environment []string, arguments ...string) *exec.Cmd {
	command := exec.Command("go", arguments...)
	command.Dir = folder
	command.Env = slices.Concat(os.Environ(), o.environment, environment)
	return command
}

func (o *outside) run(t *testing.T, folder string, environment []string, arguments ...string) {
	t.Helper()
	if said, err := o.command(folder, environment, arguments...).CombinedOutput(); err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(arguments, " "), err, said)
	}
}

// installed finds the C library that was installed under prefix.
func installed(prefix string) []string {
	return []string{"CGO_ENABLED=1", "PKG_CONFIG_PATH=" + filepath.Join(prefix, "lib", "pkgconfig")}
}

func TestAProgramOutsideIsBuiltFromTheReleasedModule(t *testing.T) {
	o := newOutside(t)
	folder := o.program(t, "caller")
	l := startLab(t)
	static := func(t *testing.T, file *elf.File) {
		for _, program := range file.Progs {
			if program.Type == elf.PT_INTERP {
				t.Error("it is not static")
			}
		}
		if libraries, _ := file.ImportedLibraries(); len(libraries) != 0 {
			t.Errorf("it needs %v", libraries)
		}
	}
	linked := func(t *testing.T, file *elf.File) bool {
		symbols, err := file.Symbols()
		ok(t, err)
		return slices.ContainsFunc(symbols, func(s elf.Symbol) bool {
			return s.Name == "svcauth_client_new" && elf.ST_BIND(s.Info) == elf.STB_GLOBAL && s.Section != elf.SHN_UNDEF
		})
	}
	for _, row := range []struct {
		name        string
		environment []string
		flags       []string
		machine     elf.Machine // 0 for that of the tests, where the program is run
		check       func(*testing.T, *elf.File)
	}{
		{name: "default engine without cgo", environment: []string{"CGO_ENABLED=0"}, check: static},
		{name: "default engine with cgo", environment: []string{"CGO_ENABLED=1"}, check: func(t *testing.T, file *elf.File) {
			if libraries, _ := file.ImportedLibraries(); linked(t, file) || slices.Contains(libraries, "libsvcauth.so.0") {
				t.Error("libsvcauth is linked")
			}
		}},
		{name: "default engine for arm64", environment: []string{"CGO_ENABLED=0", "GOARCH=arm64"}, machine: elf.EM_AARCH64},
		{name: "default engine for 386", environment: []string{"CGO_ENABLED=0", "GOARCH=386"}, machine: elf.EM_386},
		{name: "cgo engine", environment: installed(given(t, "SVCAUTH_PREFIX")), flags: []string{"-tags=svcauth_cgo"}, check: func(t *testing.T, file *elf.File) {
			if libraries, _ := file.ImportedLibraries(); !slices.Contains(libraries, "libsvcauth.so.0") {
				t.Errorf("it needs %v", libraries)
			}
		}},
		{
			name: "cgo engine, static", environment: installed(given(t, "SVCAUTH_PREFIX")),
			flags: []string{"-tags=svcauth_cgo,netgo,osusergo", `-ldflags=-linkmode external -extldflags "-static"`},
			check: func(t *testing.T, file *elf.File) {
				static(t, file)
				if !linked(t, file) {
					t.Error("libsvcauth is not linked")
				}
			},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			binary := filepath.Join(t.TempDir(), "caller")
			o.run(t, folder, row.environment, append(append([]string{"build", "-o", binary}, row.flags...), ".")...)
			file, err := elf.Open(binary)
			ok(t, err)
			defer file.Close()
			if row.machine != 0 && file.Machine != row.machine {
				t.Errorf("it is for %v", file.Machine)
			}
			if row.check != nil {
				row.check(t, file)
			}
			if row.machine != elf.EM_AARCH64 {
				l.callsWith(t, binary)
			}
		})
	}
}

// Each submodule is there, and finds the module that was released with it.
func TestEverySubmoduleIsBuiltFromItsRelease(t *testing.T) {
	o := newOutside(t)
	for _, path := range o.modules[1:] {
		t.Run(filepath.Base(path), func(t *testing.T) {
			folder := t.TempDir()
			ok(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte("package main\n\nimport _ \""+path+"\"\n\nfunc main() {}\n"), 0o644))
			o.run(t, folder, nil, "mod", "init", "example.com/caller")
			o.run(t, folder, nil, "mod", "edit", "-go=1.24", "-require="+path+"@"+o.version)
			o.run(t, folder, []string{"CGO_ENABLED=0"}, "build", "-o", os.DevNull, ".")
		})
	}
}

func TestWhatIsReleasedHoldsNoDevelopmentFiles(t *testing.T) {
	folder := given(t, "SVCAUTH_GO_MODULE")
	var files []string
	ok(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, filepath.ToSlash(strings.TrimPrefix(path, folder+"/")))
		}
		return err
	}))
	for _, needed := range []string{"go.mod", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "client.go", "internal/wasm/module/engine.go", "internal/cgo/cgo.go"} {
		if !slices.Contains(files, needed) {
			t.Errorf("%s is missing", needed)
		}
	}
	for _, file := range files {
		base := filepath.Base(file)
		if strings.HasPrefix(file, "tools/") || strings.HasPrefix(file, "bench/") || strings.HasPrefix(base, ".") ||
			strings.HasSuffix(base, "_test.go") && !strings.HasPrefix(base, "example_") {
			t.Errorf("%s is there", file)
		}
		content, err := os.ReadFile(filepath.Join(folder, file))
		ok(t, err)
		if strings.HasSuffix(file, "go.mod") && strings.Contains(string(content), "replace ") {
			t.Errorf("%s replaces modules", file)
		}
	}
}

func TestWhatIsMissingIsNamedByTheBuildErrorWithWhatToDo(t *testing.T) {
	o := newOutside(t)
	for number, row := range []struct {
		name    string
		without string // the module's or the installation's files that are removed
		tags    string
		cgo     string // CGO_ENABLED
		want    []string
	}{
		{name: "nothing", cgo: "0"},
		{name: "nothing of the library", tags: "svcauth_cgo", cgo: "1"},
		{
			name: "the source of the default engine", without: "module/internal/wasm/module/engine.go", cgo: "0",
			want: []string{"undefined: the_source_of_the_engine_is_missing__run_make_go_engine_or_use_a_released_module"},
		},
		{
			name: "libsvcauth", without: "prefix/lib/pkgconfig/svcauth.pc", tags: "svcauth_cgo", cgo: "1",
			want: []string{"/install_libsvcauth_and_set_PKG_CONFIG_PATH", "'svcauth'", "not found"},
		},
		{
			name: "the header", without: "prefix/include/svcauth.h", tags: "svcauth_cgo", cgo: "1",
			want: []string{"svcauth.h is not where pkg-config says: install libsvcauth with `make install PREFIX=...`"},
		},
		{
			name: "the library", without: "prefix/lib/libsvcauth*", tags: "svcauth_cgo", cgo: "1",
			want: []string{"/install_libsvcauth_and_set_PKG_CONFIG_PATH", "cannot find -lsvcauth"},
		},
		{
			name: "cgo", tags: "svcauth_cgo", cgo: "0",
			want: []string{"undefined: the_tag_svcauth_cgo_needs_CGO_ENABLED_1_and_a_C_compiler"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			// Always the same one: Go's cache remembers what pkg-config found.
			place := filepath.Join(given(t, "SVCAUTH_RELEASE_SCRATCH"), fmt.Sprintf("without-%d", number))
			ok(t, os.RemoveAll(place))
			ok(t, os.MkdirAll(place, 0o755))
			module, prefix := filepath.Join(place, "module"), filepath.Join(place, "prefix")
			ok(t, exec.Command("cp", "-a", given(t, "SVCAUTH_GO_MODULE"), module).Run())
			ok(t, exec.Command("cp", "-a", given(t, "SVCAUTH_PREFIX"), prefix).Run())
			description := filepath.Join(prefix, "lib", "pkgconfig", "svcauth.pc")
			text, err := os.ReadFile(description)
			ok(t, err)
			ok(t, os.WriteFile(description, []byte(strings.ReplaceAll(string(text), given(t, "SVCAUTH_PREFIX"), prefix)), 0o644))
			environment := append(installed(prefix), "CGO_ENABLED="+row.cgo)
			if row.without != "" {
				removed, err := filepath.Glob(filepath.Join(place, row.without))
				ok(t, err)
				if len(removed) == 0 {
					t.Fatalf("%s is not there anyway", row.without)
				}
				for _, file := range removed {
					ok(t, os.Remove(file))
				}
			}
			folder := o.program(t, "caller")
			o.run(t, folder, nil, "mod", "edit", "-replace="+root+"="+module)
			said, err := o.command(folder, environment, "build", "-o", os.DevNull, "-tags="+row.tags, ".").CombinedOutput()
			if (err == nil) != (row.want == nil) {
				t.Errorf("%v\n%s", err, said)
			}
			for _, want := range row.want {
				if !strings.Contains(string(said), want) {
					t.Errorf("%q is not said:\n%s", want, said)
				}
			}
		})
	}
}

// lab is a running svcauth-lab with a configuration for it.
type lab struct {
	Admin, Issuer, Smd string
	config, user       string
}

func startLab(t *testing.T) *lab {
	t.Helper()
	command := exec.Command(given(t, "SVCAUTH_LAB"), "--until-stdin-closes")
	stdin, err := command.StdinPipe()
	ok(t, err)
	stdout, err := command.StdoutPipe()
	ok(t, err)
	ok(t, command.Start())
	t.Cleanup(func() {
		stdin.Close()
		ok(t, command.Wait())
	})
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	ok(t, err)
	l := &lab{config: filepath.Join(t.TempDir(), "svcauth.json")}
	ok(t, json.Unmarshal(line, l))
	l.post(t, "/admin/clients", `{"client_id":"bss","client_secret":"a secret: 100%","scope":"read","grant_types":["client_credentials"]}`)
	var user struct {
		Token string `json:"access_token"`
	}
	ok(t, json.Unmarshal(l.post(t, "/lab/user-token", `{"sub":"alice","scopes":["read"],"lifetime":3600}`), &user))
	l.user = user.Token
	ok(t, os.WriteFile(l.config, fmt.Appendf(nil, `{
		"issuer": %q,
		"client": {"credentials": [{"client_id": "bss", "client_secret": {"env": "BSS_SECRET"}}]},
		"targets": {"smd": {"urls": [%q], "scopes": ["read"]}}
	}`, l.Issuer, l.Smd+"/hsm/v2"), 0o600))
	return l
}

func (l *lab) post(t *testing.T, path, body string) []byte {
	t.Helper()
	response, err := http.Post(l.Admin+path, "application/json", strings.NewReader(body))
	ok(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	ok(t, err)
	if response.StatusCode >= 300 {
		t.Fatalf("%s: %s %s", path, response.Status, answer)
	}
	return answer
}

// callsWith runs the program, and looks at whom SMD saw.
func (l *lab) callsWith(t *testing.T, binary string) {
	t.Helper()
	l.post(t, "/lab/reset", "")
	command := exec.Command(binary, l.config, l.Smd+"/hsm/v2/State/Components/x0c0s0b0n0")
	command.Env = append(os.Environ(), "BSS_SECRET=a secret: 100%", "USER_TOKEN="+l.user,
		"LD_LIBRARY_PATH="+filepath.Join(given(t, "SVCAUTH_PREFIX"), "lib"))
	said, err := command.Output()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("this machine does not run it; it was built")
	}
	ok(t, err)
	if string(said) != "200\n200\n" {
		t.Errorf("%q", said)
	}
	response, err := http.Get(l.Admin + "/lab/log?service=smd")
	ok(t, err)
	defer response.Body.Close()
	var calls []struct{ Sub string }
	ok(t, json.NewDecoder(response.Body).Decode(&calls))
	if len(calls) != 2 || calls[0].Sub != "bss" || calls[1].Sub != "alice" {
		t.Errorf("SMD saw %v", calls)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	ok(t, err)
	return strings.TrimSpace(string(value))
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
}
