//go:build unix && !aix && !solaris

package svcauth

import (
	"os"
	"syscall"
)

const storesAreSupported = true

// tryLock takes the system's lock on a file, which ends with the file handle.
func tryLock(file *os.File) (taken bool, err error) {
	for {
		switch err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err {
		case nil:
			return true, nil
		case syscall.EWOULDBLOCK:
			return false, nil
		case syscall.EINTR:
		default:
			return false, err
		}
	}
}
