package main

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Each access is written as its check: up to where memory must reach behind the variable, or 0 without any.
func TestAccessesThatAnEarlierCheckCoversAreNotChecked(t *testing.T) {
	for name, each := range map[string]struct {
		parameters, body string
		checks           string
	}{
		"the same again": {"v0 int32", `
			store32(m.memory, uint64(uint32(v0))+4, 1)
			m.fn2()
			store32(m.memory, uint64(uint32(v0))+4, 2)
			store32(m.memory, uint32(v0), 3)
			store64(m.memory, uint64(uint32(v0))+4, 4)`,
			"v0+8 v0 v0 v0+12"},
		"a later one is checked first where nothing comes between": {"v0, v1 int32", `
			store32(m.memory, uint32(v0), 1)
			store32(m.memory, uint64(uint32(v0))+8, 2)
			m.memory[uint64(uint32(v0))+3] = byte(v1)`,
			"v0+12 v0 v0"},
		"a call may not come back": {"v0 int32", `
			store32(m.memory, uint32(v0), 1)
			m.fn2()
			store32(m.memory, uint64(uint32(v0))+8, 2)`,
			"v0+4 v0+12"},
		"another value": {"v0 int32", `
			store32(m.memory, uint32(v0), 1)
			v0 = v0 + 1
			store32(m.memory, uint32(v0), 2)
			v0 = int32(load32(m.memory, uint32(v0)))
			store32(m.memory, uint32(v0), 3)`,
			"v0+4 v0+4 v0 v0+4"},
		"on one of two ways": {"v0, v1 int32", `
			if v1 != 0 {
				store32(m.memory, uint32(v0), 1)
			}
			store32(m.memory, uint32(v0), 2)`,
			"v0+4 v0+4"},
		"on both ways, the shorter one counts": {"v0, v1 int32", `
			if v1 != 0 {
				store32(m.memory, uint64(uint32(v0))+4, 1)
			} else {
				store32(m.memory, uint32(v0), 1)
			}
			store32(m.memory, uint32(v0), 2)
			store64(m.memory, uint32(v0), 3)`,
			"v0+8 v0+4 v0 v0+8"},
		"past a jump": {"v0, v1 int32", `
			if v1 != 0 {
				goto l0
			}
			store32(m.memory, uint32(v0), 1)
		l0:
			store32(m.memory, uint32(v0), 2)`,
			"v0+4 v0+4"},
		"jumps that have it all": {"v0, v1 int32", `
			store32(m.memory, uint32(v0), 1)
			if v1 != 0 {
				goto l0
			}
			m.fn2()
		l0:
			store32(m.memory, uint32(v0), 2)`,
			"v0+4 v0"},
		"a loop that moves on": {"v0, v1 int32", `
			store32(m.memory, uint32(v0), 1)
			store32(m.memory, uint32(v1), 1)
		l0:
			store32(m.memory, uint32(v0), 2)
			store32(m.memory, uint32(v1), 2)
			v0 = v0 + 4
			if v0 != 0 {
				goto l0
			}`,
			"v0+4 v1+4 v0+4 v1"},
		"cases": {"v0, v1 int32", `
			switch v1 {
			case 0:
				store32(m.memory, uint32(v0), 1)
			case 1:
				store32(m.memory, uint32(v0), 2)
			}
			store32(m.memory, uint32(v0), 3)`,
			"v0+4 v0+4 v0+4"},
		"what may not be evaluated": {"v0, v1 int32", `
			if v1 != 0 && load32(m.memory, uint32(v0)) != 0 {
				m.fn2()
			}
			store32(m.memory, uint32(v0), 3)`,
			"v0+4 v0+4"},
		"a stack frame": {"v0 int32", `
			var v1 int32
			t0 := m.g0
			v1 = t0 - i32(16)
			m.g0 = v1
			if v0 != 0 {
				store32(m.memory, uint64(uint32(v1))+12, 1)
			}
			store32(m.memory, uint64(uint32(v1))+8, 1)
			store32(m.memory, uint64(uint32(v1))+16, 1)`,
			"v1+16 v1 v1 v1+20"},
		"no stack frame when it moves": {"v0 int32", `
			var v1 int32
			t0 := m.g0
			v1 = t0 - i32(16)
			m.g0 = v1
			if v0 != 0 {
				v1 = v1 + 4
				store32(m.memory, uint64(uint32(v1))+12, 1)
			}
			store32(m.memory, uint64(uint32(v1))+8, 1)`,
			"v1+16 v1+12"},
	} {
		t.Run(name, func(t *testing.T) {
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, "", "package p\nfunc (m *Module) fn1("+each.parameters+") {\n"+each.body+"\n}", 0)
			if err != nil {
				t.Fatal(err)
			}
			direct(file.Decls[0].(*ast.FuncDecl))
			var source strings.Builder
			if err := format.Node(&source, files, file); err != nil {
				t.Fatal(err)
			}
			if checks := checksIn(source.String()); checks != each.checks {
				t.Errorf("checks %s, not %s, in\n%s", checks, each.checks, source.String())
			}
		})
	}
}

var checked = regexp.MustCompile(`m\.memory\[uint64\(uint32\((v\d)\)\)\+(\d+)\]|SliceData\(m\.memory,?\)\),uintptr\(uint32\((v\d)\)\)`)

func checksIn(source string) string {
	var checks []string
	for _, match := range checked.FindAllStringSubmatch(strings.Join(strings.Fields(source), ""), -1) {
		if match[1] == "" {
			checks = append(checks, match[3])
			continue
		}
		checks = append(checks, match[1]+"+"+plusOne(match[2]))
	}
	return strings.Join(checks, " ")
}

func plusOne(number string) string {
	n, _ := strconv.Atoi(number)
	return strconv.Itoa(n + 1)
}
