{{- define "larder.name" -}}
{{- if contains "larder" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-larder" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "larder.selector" -}}
app.kubernetes.io/name: larder
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "larder.labels" -}}
{{ include "larder.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}

{{- define "larder.storeSelector" -}}
app.kubernetes.io/name: larder-store
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "larder.storeUrl" -}}
{{- if .Values.store.enabled }}redis://{{ include "larder.name" . }}-store:6379{{ else }}{{ required "store.url: the address of your store, as store.enabled is false" .Values.store.url }}{{ end }}
{{- end }}

{{- define "larder.locked" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: { drop: [ALL] }
{{- end }}
