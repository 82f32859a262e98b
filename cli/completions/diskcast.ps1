# Completion of diskcast for PowerShell. What was typed is handed on as it stands and never evaluated.
Register-ArgumentCompleter -Native -CommandName diskcast -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.StartOffset -lt $cursorPosition } |
        ForEach-Object { $_.Extent.Text.Substring(0, [Math]::Min($_.Extent.Text.Length, $cursorPosition - $_.Extent.StartOffset)) })
    # Where diskcast is a .cmd file, cmd.exe would act on these.
    if ($words -match '[&|<>^%!"]') { return }
    # Some versions hand no empty word on.
    $place = if ($wordToComplete -eq '') { '--next' } else { '--' }
    $lines = @(& diskcast complete $place @words 2>$null)
    $directive = [int]($lines[-1] -replace '^:', '')
    $values = @($lines | Where-Object { $_ -notlike ':*' })
    # An empty text keeps PowerShell from offering file names.
    if ($values.Count -eq 0 -and ($directive -band 4)) { return '' }
    foreach ($line in $values) {
        $value, $about = $line -split "`t", 2
        if (-not $about) { $about = $value }
        [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $about)
    }
}
