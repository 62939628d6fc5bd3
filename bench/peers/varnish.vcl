vcl 4.1;
# The built-in VCL does the rest. It takes stale-while-revalidate from the origin as grace.
backend default { .host = "127.0.0.1"; .port = "@origin@"; }
