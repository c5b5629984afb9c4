package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/spiffe/go-spiffe/v2/bundle/spiffebundle"
	"github.com/spiffe/go-spiffe/v2/federation"
	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// fetchAsPartner fetches a bundle by https_spiffe: the endpoint proves its SPIFFE ID under a bundle that came in a file.
func fetchAsPartner(ctx context.Context, url string, endpoint spiffeid.ID, file string) error {
	known, err := spiffebundle.Load(endpoint.TrustDomain(), file)
	if err != nil {
		return err
	}
	return fetch(ctx, url, endpoint.TrustDomain(), federation.WithSPIFFEAuth(known, endpoint))
}

// fetchAsBrowser fetches a bundle by https_web: the endpoint proves the host in the URL under the CAs in a PEM file.
func fetchAsBrowser(ctx context.Context, url string, trustDomain spiffeid.TrustDomain, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s: no certificates", file)
	}
	return fetch(ctx, url, trustDomain, federation.WithWebPKIRoots(roots))
}

func fetch(ctx context.Context, url string, trustDomain spiffeid.TrustDomain, option federation.FetchOption) error {
	bundle, err := federation.FetchBundle(ctx, trustDomain, url, option)
	if err != nil {
		return err
	}
	sequence, _ := bundle.SequenceNumber()
	hint, _ := bundle.RefreshHint()
	return say(map[string]any{
		"roots":    len(bundle.X509Authorities()),
		"jwt_keys": len(bundle.JWTAuthorities()),
		"sequence": sequence,
		"hint_s":   hint.Seconds(),
	})
}
