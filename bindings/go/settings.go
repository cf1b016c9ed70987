package svcauth

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// settings are what of the configuration the program itself has to heed, as the core tells it.
type settings struct {
	Targets []string `json:"targets"`
	Store   *struct {
		File string `json:"file"`
	} `json:"store"`
	NeedsDurableStore bool `json:"needs_durable_store"`
	TLS               struct {
		CAFile          string `json:"ca_file"`
		OnlyCAFile      bool   `json:"only_ca_file"`
		CertificateFile string `json:"certificate_file"`
		KeyFile         string `json:"key_file"`
	} `json:"tls"`
	Proxy    string `json:"proxy"`
	Timeouts struct {
		ConnectMS uint64 `json:"connect_ms"`
		StoreMS   uint64 `json:"store_ms"`
		WaitMS    uint64 `json:"wait_ms"`
	} `json:"timeouts"`
}

func readSettings(text []byte) (*settings, error) {
	s := &settings{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, newError(ErrInternal, "the settings cannot be read: "+err.Error(), "")
	}
	return s, nil
}

// transport is net/http's, with TLS and proxy as configured.
func (s *settings) transport() (*http.Transport, error) {
	t := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: milliseconds(s.Timeouts.ConnectMS), KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   milliseconds(s.Timeouts.ConnectMS),
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          100,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
	switch s.Proxy {
	case "environment":
		t.Proxy = http.ProxyFromEnvironment
	case "none":
	default:
		to, err := url.Parse(s.Proxy)
		if err != nil {
			// The text may hold a password: it is not repeated.
			return nil, newError(ErrInvalidConfiguration, "this is no URL of a proxy; write http://host:port, or https or socks5", "proxy")
		}
		t.Proxy = http.ProxyURL(to)
	}
	var err error
	t.TLSClientConfig, err = s.tls()
	return t, err
}

func (s *settings) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLS.CAFile != "" {
		pem, err := os.ReadFile(s.TLS.CAFile)
		if err != nil {
			return nil, unusable("tls.ca_file", s.TLS.CAFile, "cannot be read: "+cause(err).Error())
		}
		config.RootCAs = x509.NewCertPool()
		if !s.TLS.OnlyCAFile {
			if system, err := x509.SystemCertPool(); err == nil {
				config.RootCAs = system
			}
		}
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, unusable("tls.ca_file", s.TLS.CAFile, "holds no certificate in PEM")
		}
	}
	if s.TLS.CertificateFile != "" {
		pair, err := tls.LoadX509KeyPair(s.TLS.CertificateFile, s.TLS.KeyFile)
		if err != nil {
			return nil, unusable("tls.key_file", s.TLS.KeyFile, "and the certificate cannot be used: "+err.Error())
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func unusable(member, path, why string) *Error {
	return newError(ErrInvalidConfiguration, fmt.Sprintf("the file %s %s", path, why), member)
}
