// A file of its own, so that the page's Content-Security-Policy need not allow inline scripts.
SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  // Off: it would send the description to somebody else's server.
  validatorUrl: null,
});
