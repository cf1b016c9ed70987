//go:build svcauth_forced_panic && svcauth_cgo

package cgo

/*
#include "calls.h"
svcauth_result svcauth_client_force_panic(const svcauth_client *client, svcauth_error **error);
*/
import "C"

// ForcePanic panics inside the library, for tests of what happens then.
func (c *client) ForcePanic() error {
	c.mutex.RLock()
	defer c.mutex.RUnlock()
	var object *C.svcauth_error
	return failed(C.svcauth_client_force_panic(c.handle, &object), object)
}
