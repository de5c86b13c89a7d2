/*
 * urlpattern: URLPattern (npm urlpattern-polyfill). It uses the global URL, and only when a pattern is made.
 */
export { URLPattern } from "urlpattern-polyfill/urlpattern";
