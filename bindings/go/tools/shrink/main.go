// Shrink makes a smaller program of the Go source that wasm2go writes: memory is accessed directly and checked once
// where wasm2go calls functions that are inlined, functions take the place of methods, and each stands in one line and
// is not inlined, since programs hold tables of methods, inlined calls and lines. It reads and writes files that it is
// given by name.
package main

import (
	"bytes"
	"flag"
	"go/ast"
	"go/format"
	"go/parser"
	"go/scanner"
	"go/token"
	"log"
	"os"
	"strconv"
	"strings"

	"golang.org/x/tools/go/ast/astutil"
)

func main() {
	portable := flag.Bool("portable", false, "leave accesses to memory as they are, for CPUs that do not take words in little-endian order from any address")
	flag.Parse()
	in, out := flag.Arg(0), flag.Arg(1)
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, in, nil, parser.ParseComments)
	if err != nil {
		log.Fatal(err)
	}
	plainNumbers(file)
	functions(file)
	memoryFirst(file)
	roomToGrow(file)
	if !*portable {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && ofModule(f) {
				direct(f)
			}
		}
	}
	if err := os.WriteFile(out, written(files, file, !*portable), 0o666); err != nil {
		log.Fatal(err)
	}
}

// ofModule tells whether f is a function of the module, or one that it exports.
func ofModule(f *ast.FuncDecl) bool {
	return numbered(f.Name.Name) || f.Recv != nil && strings.HasPrefix(f.Name.Name, "Xsvcauth_")
}

func numbered(name string) bool {
	number, found := strings.CutPrefix(name, "fn")
	_, err := strconv.Atoi(number)
	return found && err == nil
}

func lit(e ast.Expr) (uint64, bool) {
	neg := false
	if u, ok := e.(*ast.UnaryExpr); ok && u.Op == token.SUB {
		neg = true
		e = u.X
	}
	b, ok := e.(*ast.BasicLit)
	if !ok || b.Kind != token.INT {
		return 0, false
	}
	v, err := strconv.ParseUint(b.Value, 0, 64)
	if err != nil {
		return 0, false
	}
	if neg {
		v = -v
	}
	return v, true
}

// constant tells what i32(5), uint32(i32(-1)) and the like are.
func constant(e ast.Expr) (string, uint64, bool) {
	c, ok := e.(*ast.CallExpr)
	if !ok || len(c.Args) != 1 {
		return "", 0, false
	}
	f, ok := c.Fun.(*ast.Ident)
	if !ok {
		return "", 0, false
	}
	var v uint64
	switch f.Name {
	case "i32", "i64":
		if v, ok = lit(c.Args[0]); !ok {
			return "", 0, false
		}
		if f.Name == "i32" {
			return "int32", uint64(int64(int32(v))), true
		}
		return "int64", v, true
	case "uint32", "uint64", "int32", "int64":
		if _, v, ok = constant(c.Args[0]); !ok {
			return "", 0, false
		}
		switch f.Name {
		case "uint32":
			v = uint64(uint32(v))
		case "int32":
			v = uint64(int64(int32(v)))
		}
		return f.Name, v, true
	}
	return "", 0, false
}

// plain is a number without i32 or i64 around it.
func plain(e ast.Expr) ast.Expr {
	kind, v, ok := constant(e)
	if !ok {
		return e
	}
	s := strconv.FormatUint(v, 10)
	if kind[0] == 'i' {
		s = strconv.FormatInt(int64(v), 10)
	}
	return &ast.CallExpr{Fun: ast.NewIdent(kind), Args: []ast.Expr{ast.NewIdent(s)}}
}

// plainNumbers takes i32 and i64 off, which keep the compiler from calculating with two numbers at once.
func plainNumbers(file *ast.File) {
	ast.Inspect(file, func(node ast.Node) bool {
		switch x := node.(type) {
		case *ast.BinaryExpr:
			_, _, l := constant(x.X)
			_, _, r := constant(x.Y)
			if x.Op == token.QUO || x.Op == token.REM {
				return true
			}
			if l != r {
				x.X, x.Y = plain(x.X), plain(x.Y)
			}
		case *ast.CallExpr:
			if f, ok := x.Fun.(*ast.Ident); ok && (f.Name == "uint32" || f.Name == "uint64" || f.Name == "int32" || f.Name == "int64" || f.Name == "i32" || f.Name == "i64") {
				return true
			}
			for i := range x.Args {
				x.Args[i] = plain(x.Args[i])
			}
		case *ast.AssignStmt:
			for i := range x.Rhs {
				x.Rhs[i] = plain(x.Rhs[i])
			}
		case *ast.ReturnStmt:
			for i := range x.Results {
				x.Results[i] = plain(x.Results[i])
			}
		}
		return true
	})
}

// functions makes functions of the methods that are not exported, so that the type has no table of them.
func functions(file *ast.File) {
	methods := map[string]bool{}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && numbered(f.Name.Name) {
			methods[f.Name.Name] = true
			f.Type.Params.List = append(f.Recv.List, f.Type.Params.List...)
			f.Recv = nil
		}
	}
	astutil.Apply(file, nil, func(c *astutil.Cursor) bool {
		switch x := c.Node().(type) {
		case *ast.SelectorExpr:
			if i, ok := x.X.(*ast.Ident); ok && i.Name == "m" && methods[x.Sel.Name] {
				if call, ok := c.Parent().(*ast.CallExpr); ok && c.Name() == "Fun" {
					call.Args = append([]ast.Expr{ast.NewIdent("m")}, call.Args...)
				}
				c.Replace(x.Sel)
			}
		case *ast.CallExpr:
			if t, ok := x.Fun.(*ast.TypeAssertExpr); ok {
				f := t.Type.(*ast.FuncType)
				f.Params.List = append([]*ast.Field{{Type: ast.NewIdent("*Module")}}, f.Params.List...)
				x.Args = append([]ast.Expr{ast.NewIdent("m")}, x.Args...)
			}
		}
		return true
	})
}

// memoryFirst puts memory, which is used most, at the start of the module, where its address is shortest.
func memoryFirst(file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok || spec.Name.Name != "Module" {
			return true
		}
		fields := spec.Type.(*ast.StructType).Fields
		for i, field := range fields.List {
			if text(field.Type) == "wasmMemory" {
				copy(fields.List[1:i+1], fields.List[:i])
				fields.List[0] = field
			}
		}
		return false
	})
}

// roomToGrow makes memory so that it grows by the first MiB without being copied, and pages are touched only by use.
func roomToGrow(file *ast.File) {
	found := false
	ast.Inspect(file, func(n ast.Node) bool {
		s, ok := n.(*ast.AssignStmt)
		if !ok || text(s.Lhs[0]) != "m.memory" {
			return true
		}
		if c, ok := s.Rhs[0].(*ast.CallExpr); ok && text(c.Fun) == "make" && len(c.Args) == 2 {
			c.Args = append(c.Args, &ast.BinaryExpr{X: c.Args[1], Op: token.ADD, Y: expr("1<<20")})
			found = true
		}
		return true
	})
	if !found {
		log.Fatal("memory is made in another way than shrink expects")
	}
}

// written is the file, with each function in a line.
func written(files *token.FileSet, file *ast.File, direct bool) []byte {
	var out bytes.Buffer
	for _, group := range file.Comments {
		if group.Pos() < file.Package {
			for _, c := range group.List {
				out.WriteString(c.Text + "\n")
			}
			out.WriteString("\n")
		}
	}
	out.WriteString("package " + file.Name.Name + "\n\n")
	if direct {
		out.WriteString("import \"unsafe\"\n\n")
	}
	for _, d := range file.Decls {
		f, isFunc := d.(*ast.FuncDecl)
		if isFunc && f.Doc != nil {
			for _, c := range f.Doc.List {
				out.WriteString(c.Text + "\n")
			}
			f.Doc = nil
		}
		if isFunc && (ofModule(f) || strings.HasPrefix(f.Name.Name, "memory_")) {
			out.WriteString("//go:noinline\n") // wasm-opt has inlined what makes it smaller
		}
		var source bytes.Buffer
		if err := format.Node(&source, files, d); err != nil {
			log.Fatal(err)
		}
		if isFunc && ofModule(f) {
			oneLine(&out, source.Bytes())
		} else {
			out.Write(source.Bytes())
		}
		out.WriteString("\n\n")
	}
	return out.Bytes()
}

func oneLine(out *bytes.Buffer, source []byte) {
	var s scanner.Scanner
	fset := token.NewFileSet()
	s.Init(fset.AddFile("", -1, len(source)), source, nil, 0)
	last := token.ILLEGAL
	for {
		_, tok, text := s.Scan()
		if tok == token.EOF {
			break
		}
		if tok == token.SEMICOLON {
			text = ";"
		} else if text == "" {
			text = tok.String()
		}
		word := func(t token.Token) bool { return t.IsLiteral() || t.IsKeyword() }
		op := func(t token.Token) bool {
			return t.IsOperator() && t != token.LPAREN && t != token.RPAREN && t != token.COMMA && t != token.SEMICOLON && t != token.PERIOD && t != token.LBRACE && t != token.RBRACE && t != token.LBRACK && t != token.RBRACK
		}
		if word(last) && word(tok) || op(last) && op(tok) {
			out.WriteByte(' ')
		}
		out.WriteString(text)
		last = tok
	}
}
