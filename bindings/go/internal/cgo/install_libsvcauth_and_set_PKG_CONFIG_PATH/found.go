//go:build svcauth_cgo

// Package found asks for nothing but libsvcauth, and is built before the engine. Where the library is missing, its path
// stands beside what pkg-config or the linker says, and tells what to do.
package found

/*
#cgo pkg-config: svcauth
#cgo LDFLAGS: -L${SRCDIR}
#if defined __has_include
#if !__has_include(<svcauth.h>)
#error "svcauth.h is not where pkg-config says: install libsvcauth with `make install PREFIX=...`, and set PKG_CONFIG_PATH to its lib/pkgconfig"
#endif
#endif
#include <svcauth.h>
*/
import "C"

// ABI is the version of the C ABI that the program was compiled for.
const ABI = C.SVCAUTH_ABI_VERSION
