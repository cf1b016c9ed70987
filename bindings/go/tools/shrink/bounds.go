package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"

	"golang.org/x/tools/go/ast/astutil"
)

// known says of variables up to where the memory reaches behind them: uint32(v) + known[v] is at most its length.
// Memory never gets shorter, so this holds until the variable changes.
type known map[string]uint64

func (k known) meet(other known) known {
	both := known{}
	for name, end := range k {
		if least := min(end, other[name]); least > 0 {
			both[name] = least
		}
	}
	return both
}

func (k known) forget(names map[string]bool) {
	for name := range names {
		delete(k, name)
	}
}

// bounds makes memory accesses of a function direct, and checks each only where no check before it, on every way to
// it, reached as far.
type bounds struct {
	jumps map[string]known // what is known at the gotos to a label that were met
	last  map[string]token.Pos
	frame string // the variable that points to the stack frame, for the whole function
	size  uint64
}

func direct(f *ast.FuncDecl) {
	b := &bounds{jumps: map[string]known{}, last: map[string]token.Pos{}}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if s, ok := n.(*ast.BranchStmt); ok && s.Label != nil {
			b.last[s.Label.Name] = max(b.last[s.Label.Name], s.Pos())
		}
		return true
	})
	eachNameOnce(f)
	at := b.findFrame(f)
	b.list(f.Body.List, known{})
	if b.frame != "" {
		check := &ast.AssignStmt{Lhs: []ast.Expr{ast.NewIdent("_")}, Tok: token.ASSIGN,
			Rhs: []ast.Expr{expr(fmt.Sprintf("m.memory[uint64(uint32(%s))+%d]", b.frame, b.size-1))}}
		f.Body.List = append(f.Body.List[:at:at], append([]ast.Stmt{check}, f.Body.List[at:]...)...)
	}
}

// findFrame looks for `t := m.g0; v = t - size; m.g0 = v` at the start, where v does not change any more.
func (b *bounds) findFrame(f *ast.FuncDecl) int {
	var pointer string
	for i, s := range f.Body.List {
		switch s := s.(type) {
		case *ast.DeclStmt:
			continue
		case *ast.AssignStmt:
			if len(s.Lhs) != 1 {
				return 0
			}
			name, isName := s.Lhs[0].(*ast.Ident)
			if isName && s.Tok == token.DEFINE && text(s.Rhs[0]) == "m.g0" {
				pointer = name.Name
			}
			if sum, ok := s.Rhs[0].(*ast.BinaryExpr); ok && isName && sum.Op == token.SUB && text(sum.X) == pointer {
				_, size, ok := constant(sum.Y)
				if !ok || int64(size) <= 0 || int64(size) > 1<<16 {
					return 0
				}
				uses := 0
				ast.Inspect(f.Body, func(n ast.Node) bool {
					if a, ok := access(n); ok && a.base == name.Name && a.end() <= size {
						uses++
					}
					return true
				})
				if count(f.Body, name.Name) == 1 && uses > 1 {
					b.frame, b.size = name.Name, size
				}
				return i + 1
			}
		default:
			return 0
		}
	}
	return 0
}

// list handles statements; reached tells whether what follows them is.
func (b *bounds) list(stmts []ast.Stmt, at known) (after known, reached bool) {
	reached = true
	for i := range stmts {
		if l, ok := stmts[i].(*ast.LabeledStmt); ok {
			jumped, met := b.jumps[l.Label.Name]
			switch {
			case met && reached:
				at = at.meet(jumped)
			case met:
				at = maps.Clone(jumped)
			case !reached:
				at = known{}
			}
			reached = true
			if b.last[l.Label.Name] > l.Pos() {
				changed := assigned(l)
				for _, s := range stmts[i:] {
					maps.Copy(changed, assigned(s))
				}
				at.forget(changed)
			}
		}
		if !reached {
			at = known{}
		}
		at, reached = b.statement(&stmts[i], stmts[i+1:], at)
	}
	return at, reached
}

func (b *bounds) statement(place *ast.Stmt, next []ast.Stmt, at known) (known, bool) {
	switch s := (*place).(type) {
	case *ast.LabeledStmt:
		return b.statement(&s.Stmt, next, at)
	case *ast.BlockStmt:
		return b.list(s.List, at)
	case *ast.IfStmt:
		if s.Init != nil {
			panic("if with a statement of its own")
		}
		b.expression(s.Cond, nil, at)
		then, reached := b.list(s.Body.List, maps.Clone(at))
		otherwise, also := at, true
		if s.Else != nil {
			otherwise, also = b.statement(&s.Else, nil, maps.Clone(at))
		}
		switch {
		case reached && also:
			return then.meet(otherwise), true
		case reached:
			return then, true
		}
		return otherwise, also
	case *ast.SwitchStmt:
		if s.Init != nil {
			panic("switch with a statement of its own")
		}
		b.expression(s.Tag, nil, at)
		at.forget(assigned(s))
		for _, each := range s.Body.List {
			b.list(each.(*ast.CaseClause).Body, maps.Clone(at))
		}
		return at, true
	case *ast.BranchStmt:
		if s.Tok == token.GOTO {
			if before, met := b.jumps[s.Label.Name]; met {
				at = at.meet(before)
			}
			b.jumps[s.Label.Name] = maps.Clone(at)
			return at, false
		}
		return at, s.Tok != token.BREAK && s.Tok != token.CONTINUE
	case *ast.ReturnStmt:
		b.expression(s, next, at)
		return at, false
	case *ast.ExprStmt:
		b.expression(s, next, at)
		switch x := s.X.(type) {
		case *ast.CallExpr:
			if text(x.Fun) == "panic" {
				return at, false
			}
		case *ast.BinaryExpr: // where the place of a store stands, and its value
			*place = &ast.AssignStmt{Lhs: []ast.Expr{x.X}, Tok: token.ASSIGN, Rhs: []ast.Expr{x.Y}}
		}
		return at, true
	case *ast.AssignStmt, *ast.DeclStmt, *ast.EmptyStmt, *ast.IncDecStmt:
		b.expression(s, next, at)
		at.forget(assigned(s))
		return at, true
	}
	panic(fmt.Sprintf("%T", *place))
}

// expression replaces the accesses in a statement or expression, and adds what their checks tell.
func (b *bounds) expression(n ast.Node, next []ast.Stmt, at known) {
	if n == nil {
		return
	}
	// A later access may be checked here where nothing comes between.
	ahead := known{}
	changed := assigned(n)
	if !calls(n) {
		open := maps.Clone(changed)
		for _, s := range next {
			_, sets := s.(*ast.AssignStmt)
			_, stores := s.(*ast.ExprStmt)
			if !sets && !stores || calls(s) {
				break
			}
			ast.Inspect(s, func(n ast.Node) bool {
				if a, ok := access(n); ok && a.base != "" && !open[a.base] && !maybe(s) {
					ahead[a.base] = max(ahead[a.base], a.end())
				}
				return true
			})
			maps.Copy(open, assigned(s))
		}
	}
	learned := known{}
	unsure := maybe(n)
	astutil.Apply(n, nil, func(c *astutil.Cursor) bool {
		a, ok := access(c.Node())
		if !ok {
			return true
		}
		end := a.end()
		covered := a.base != "" && (end <= at[a.base] || a.base == b.frame && end <= b.size)
		if !covered && a.base != "" && !unsure {
			end = max(end, ahead[a.base])
			learned[a.base] = max(learned[a.base], end)
		}
		c.Replace(a.direct(covered, end))
		return true
	})
	for name, end := range learned {
		at[name] = max(at[name], end)
	}
}

// accessed is one access to memory: width bytes at uint32(base)+offset.
type accessed struct {
	address       ast.Expr // the part without the offset, a uint32
	base          string   // where that is a variable
	offset, width uint64
	value         ast.Expr // of a store
}

func (a accessed) end() uint64 { return a.offset + a.width }

var widths = map[string]uint64{"load16": 2, "load32": 4, "load64": 8, "store16": 2, "store32": 4, "store64": 8}

func access(n ast.Node) (a accessed, ok bool) {
	var address ast.Expr
	switch x := n.(type) {
	case *ast.CallExpr:
		if a.width = widths[text(x.Fun)]; a.width == 0 || text(x.Args[0]) != "m.memory" {
			return a, false
		}
		address = x.Args[1]
		if len(x.Args) == 3 {
			a.value = x.Args[2]
		}
	case *ast.IndexExpr:
		if text(x.X) != "m.memory" {
			return a, false
		}
		address, a.width = x.Index, 1
	default:
		return a, false
	}
	if sum, isSum := address.(*ast.BinaryExpr); isSum && sum.Op == token.ADD {
		if offset, isNumber := lit(sum.Y); isNumber {
			a.offset, address = offset, sum.X
		}
	}
	c, isCall := address.(*ast.CallExpr)
	if isCall && text(c.Fun) == "uint64" {
		address = c.Args[0]
		c, isCall = address.(*ast.CallExpr)
	}
	if !isCall || text(c.Fun) != "uint32" {
		panic("an address is no uint32")
	}
	a.address = address
	if name, isName := c.Args[0].(*ast.Ident); isName {
		a.base = name.Name
	}
	return a, true
}

// direct is the access without a function, checked up to end if it is not covered by another one's check.
func (a accessed) direct(covered bool, end uint64) ast.Expr {
	var source string
	switch {
	case covered:
		source = fmt.Sprintf("*(*uint%d)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(m.memory)), uintptr(ADDRESS)+%d))", a.width*8, a.offset)
	case a.width == 1 && end == a.end():
		source = fmt.Sprintf("m.memory[uint64(ADDRESS)+%d]", a.offset)
	default:
		source = fmt.Sprintf("*(*uint%d)(unsafe.Add(unsafe.Pointer(&m.memory[uint64(ADDRESS)+%d]), -%d))", a.width*8, end-1, end-1-a.offset)
	}
	place := astutil.Apply(expr(source), nil, func(c *astutil.Cursor) bool {
		if name, ok := c.Node().(*ast.Ident); ok && name.Name == "ADDRESS" {
			c.Replace(a.address)
		}
		return true
	}).(ast.Expr)
	if a.value == nil {
		return place
	}
	return &ast.BinaryExpr{X: place, Op: token.ASSIGN, Y: a.value}
}

func expr(source string) ast.Expr {
	e, err := parser.ParseExpr(source)
	if err != nil {
		panic(err)
	}
	return e
}

// text of a name, with what it belongs to.
func text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return text(e.X) + "." + e.Sel.Name
	}
	return ""
}

// assigned are the variables that change within n.
func assigned(n ast.Node) map[string]bool {
	names := map[string]bool{}
	ast.Inspect(n, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.AssignStmt:
			for _, e := range s.Lhs {
				names[text(e)] = true
			}
		case *ast.ValueSpec:
			for _, e := range s.Names {
				names[e.Name] = true
			}
		case *ast.IncDecStmt:
			names[text(s.X)] = true
		case *ast.UnaryExpr:
			if _, isName := s.X.(*ast.Ident); isName && s.Op == token.AND {
				panic("the address of a variable is taken")
			}
		}
		return true
	})
	return names
}

// eachNameOnce fails where two variables have one name: what is known of one would be taken for the other's.
func eachNameOnce(f *ast.FuncDecl) {
	names := map[string]bool{"_": false}
	declare := func(e ast.Expr) {
		if name := text(e); names[name] {
			panic(f.Name.Name + " has two variables " + name)
		} else if name != "_" {
			names[name] = true
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.FuncType:
			for _, field := range s.Params.List {
				for _, name := range field.Names {
					declare(name)
				}
			}
		case *ast.AssignStmt:
			if s.Tok == token.DEFINE {
				for _, e := range s.Lhs {
					declare(e)
				}
			}
		case *ast.ValueSpec:
			for _, e := range s.Names {
				declare(e)
			}
		}
		return true
	})
}

// count tells how often a variable is assigned.
func count(n ast.Node, name string) (times int) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.AssignStmt:
			for _, e := range s.Lhs {
				if text(e) == name {
					times++
				}
			}
		case *ast.IncDecStmt:
			if text(s.X) == name {
				times++
			}
		}
		return true
	})
	return times
}

// calls tells whether other functions are called, which may not return.
func calls(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			name := text(c.Fun)
			switch name {
			case "uint32", "uint64", "int32", "int64", "byte", "uint8", "int8", "uint16", "int16", "i32", "i64":
			default:
				found = found || widths[name] == 0
			}
		}
		return !found
	})
	return found
}

// maybe tells whether a part of an expression may not be evaluated.
func maybe(n ast.Node) (found bool) {
	ast.Inspect(n, func(n ast.Node) bool {
		if b, ok := n.(*ast.BinaryExpr); ok && (b.Op == token.LAND || b.Op == token.LOR) {
			found = true
		}
		return !found
	})
	return found
}
