# Hands the variables of Visual Studio's developer shell on to the steps that follow.
$installer = "${env:ProgramFiles(x86)}\Microsoft Visual Studio\Installer"
$place = & "$installer\vswhere.exe" -latest -products * -property installationPath
Import-Module "$place\Common7\Tools\Microsoft.VisualStudio.DevShell.dll"
Enter-VsDevShell -VsInstallPath $place -SkipAutomaticLocation -DevCmdArguments "-arch=x64 -host_arch=x64"
foreach ($name in "INCLUDE", "LIB", "LIBPATH", "PATH", "VCToolsInstallDir", "WindowsSdkDir", "WindowsSDKVersion") {
    "$name=$([Environment]::GetEnvironmentVariable($name))" | Out-File -FilePath $env:GITHUB_ENV -Append -Encoding utf8
}
