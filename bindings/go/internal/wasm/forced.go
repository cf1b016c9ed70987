//go:build svcauth_forced_panic && !svcauth_cgo

package wasm

// ForcePanic panics inside the library, for tests of what happens then.
func (c *client) ForcePanic() (err error) {
	defer c.leave(&err)
	if err := c.enter(0); err != nil {
		return err
	}
	return c.failed(c.module.Xsvcauth_client_force_panic(c.handle, c.slot(errorSlot)))
}
